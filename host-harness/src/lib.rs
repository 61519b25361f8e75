//! The host of service-manager plugins.
