//! Measurements that later work keeps using. They print ratios to a floor of the same run: times
//! belong to a machine, ratios to the code.
