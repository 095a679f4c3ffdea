//! Paint only: borrowed data in, cells out. Nothing here knows what a container is.
