//! Health: what each observer saw, and what the rows together say.

mod view;

pub use view::{Seen, View};
