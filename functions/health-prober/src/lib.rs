//! health-prober
