//! The seeded source of every choice.
