//! Groups of agents.

use crate::domain::spec::Group;

super::crud::crud!(Group, "group", "/apps/{app}/groups", "/apps/{app}/groups/{id}");
