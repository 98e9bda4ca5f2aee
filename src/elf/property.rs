//! Program properties.
