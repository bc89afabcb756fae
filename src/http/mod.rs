//! The HTTP side: routes, statuses, nothing else.

mod files;
mod index;
mod negotiate;
mod origin;
mod rescue;

pub use files::routes as file_routes;
pub use index::routes as index_routes;
pub use origin::Origins;
