//! A service manager for Microsoft ESD licenses.
