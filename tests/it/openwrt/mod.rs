//! The packages for OpenWrt (cross/openwrt): what the init script tells procd, and what is in
//! the packages.
//!
//! The script runs under busybox's shell with stand-ins for OpenWrt's functions that write down
//! what they are told (`stand-in.sh`, `network.sh`); `router` runs them. What a test needs and
//! the machine has not is said, and the test passes.

mod apk;
mod arguments;
mod checking;
mod feed;
mod firewall;
mod ipk;
mod keeping;
mod networks;
pub(crate) mod packages;
mod privileges;
pub(crate) mod router;
mod scripts;
mod ucode;
mod users;
