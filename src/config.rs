//! `reconcile.yaml`.
