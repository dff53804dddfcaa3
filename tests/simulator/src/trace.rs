//! What happened, in order, and its hash.
