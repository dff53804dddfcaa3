//! Health: what each observer saw, and what the rows together say.

mod policy;
mod view;

pub use policy::Policy;
pub use view::{Seen, View};
