//! Queues: how a call that waits is given to the agents of groups.

use crate::domain::spec::Queue;

super::crud::crud!(Queue, "queue", "/apps/{app}/queues", "/apps/{app}/queues/{id}");
