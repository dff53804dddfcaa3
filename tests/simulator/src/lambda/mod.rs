//! The life of a function: schedules, sandboxes, deliveries, and deaths.
