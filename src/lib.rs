//! Links package images.
