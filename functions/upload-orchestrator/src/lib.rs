//! upload-orchestrator
