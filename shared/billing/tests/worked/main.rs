//! Invoices reckoned by hand, to the cent.

mod batches;
mod desk;
mod discounts;
mod fees;
mod mistakes;
mod partners;
mod prices;
mod returns;
