//! Every parameter, good and bad.
