//! Where calls go: endpoints, routes, versions, shadows and rollouts.

mod admin;
mod cache;
mod consul;
mod rollouts;
mod routes;
mod shadow;
