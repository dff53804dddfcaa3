//! What goes wrong, when, and what has to come of it.
