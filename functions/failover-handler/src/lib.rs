//! failover-handler
