//! The API types of Latchkey.
