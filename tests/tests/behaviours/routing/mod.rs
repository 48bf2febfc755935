//! Where calls go: endpoints, routes, versions, prefixes, shadows, and answers that are kept.

mod admin;
mod cache;
mod consul;
mod hold;
mod prefix;
mod routes;
mod shadow;
