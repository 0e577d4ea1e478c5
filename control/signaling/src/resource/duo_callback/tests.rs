//! Behavior of the callback, with fake legs and a fake gateway.
