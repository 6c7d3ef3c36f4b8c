DROP TABLE agent_times;
DROP TABLE queue_entries;
DROP TABLE routed_calls;
ALTER TABLE agent_states DROP COLUMN misses;
