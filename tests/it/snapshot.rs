//! `reconcile snapshot`, and plans that need neither network nor credentials.
