//! The HTTP side: routes, statuses, nothing else.

mod index;
mod negotiate;
mod origin;
mod rescue;

pub use index::routes as index_routes;
pub use origin::Origins;
