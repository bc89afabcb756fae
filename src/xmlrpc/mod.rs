//! XML-RPC as bytes and values: what is read (docs/wire.md section 1), what is written (section 2), and the
//! faults (section 3).
//!
//! Reading and writing are ours because their rules are the product: dxr reads fewer spellings than old
//! clients write, quotes the whole input in its errors, and builds a tree for what is only passed on.

mod decode;
mod encode;
mod fault;
mod value;

pub use decode::{
    Call, DecodeError, Limits, call as decode_call, items as decode_items, response as decode_response,
};
pub use encode::{
    Encoder, RESPONSE_HEAD, RESPONSE_TAIL, TooWide, call as encode_call, fault as encode_fault,
    response as encode_response,
};
pub use fault::Fault;
pub(crate) use fault::whole_seconds;
pub use value::Value;
