//! Where calls go: endpoints, routes, versions, shadows, and answers that are kept.

mod admin;
mod cache;
mod consul;
mod routes;
mod shadow;
