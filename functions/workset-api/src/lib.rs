//! workset-api
