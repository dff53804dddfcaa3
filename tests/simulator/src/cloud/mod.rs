//! The cloud: what answers the requests of the AWS clients.
