DROP INDEX legs_by_start;
ALTER TABLE agent_states DROP COLUMN mirror_at;
ALTER TABLE agent_states DROP COLUMN mirror_to;
ALTER TABLE agent_states DROP COLUMN queue_login_since;
ALTER TABLE agent_states DROP COLUMN queue_login;
DROP TABLE reconciliations;
