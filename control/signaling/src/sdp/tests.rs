//! Offers and answers by RFC 3264.
