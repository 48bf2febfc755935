//! Where calls go: endpoints, routes, versions, shadows and rollouts.

mod admin;
mod consul;
mod rollouts;
mod routes;
mod shadow;
