//! Makes object archives shaped like those that Julia writes for a package image.
