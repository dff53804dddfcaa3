//! workset
