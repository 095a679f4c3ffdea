//! The screen: a model, the messages that change it, and a pure view of it.
