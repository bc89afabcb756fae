//! Errors to answers, exhaustively: 5xx are logged as errors, 4xx at debug; clients see the reason, never
//! our insides.

mod index;
