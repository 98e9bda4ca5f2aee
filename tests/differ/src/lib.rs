//! Compares two shared libraries by meaning.
