//! The REST API, `/api/v1`: one file a resource, each with its own `configure`.
//!
//! A handler says who may (`at.must(Action::…)`), reads or writes through the store, and answers with the resource as clients see it.
//! Whatever is registered here is in the OpenAPI document, and nothing else is.

pub mod agents;
pub mod apps;
pub mod blacklist;
pub mod business_hours;
pub mod callbacks;
pub mod calls;
pub mod contacts;
pub(crate) mod crud;
pub mod explain;
pub mod extensions;
pub mod filters;
pub mod group_routing;
pub mod groups;
pub mod health;
pub mod ivr_keys;
pub mod ivr_nodes;
pub mod ivr_trees;
pub mod legs;
mod live;
pub mod numbers;
pub mod queues;
pub mod records;
pub mod stats;
pub mod tokens;
pub mod view;
pub mod waiting;

use utoipa_actix_web::service_config::ServiceConfig;

/// Every route under `/api/v1`.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(apps::configure)
        .configure(health::configure)
        .configure(agents::configure)
        .configure(groups::configure)
        .configure(queues::configure)
        .configure(group_routing::configure)
        .configure(waiting::configure)
        .configure(numbers::configure)
        .configure(extensions::configure)
        .configure(business_hours::configure)
        .configure(ivr_trees::configure)
        .configure(ivr_nodes::configure)
        .configure(ivr_keys::configure)
        .configure(blacklist::configure)
        .configure(contacts::configure)
        .configure(calls::configure)
        .configure(legs::configure)
        .configure(callbacks::configure)
        .configure(records::configure)
        .configure(stats::configure)
        .configure(live::configure)
        .configure(explain::configure)
        .configure(tokens::configure);
}
