//! LXC configuration files: read into a [`super::spec::Spec`], written back unharmed.
