//! Invoices reckoned by hand, to the cent.

mod desk;
mod discounts;
mod fees;
mod mistakes;
mod partners;
mod prices;
mod returns;
