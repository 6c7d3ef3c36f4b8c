ALTER TABLE agent_times DROP COLUMN then_by;
ALTER TABLE agent_times DROP COLUMN then_reason;
ALTER TABLE agent_marks DROP COLUMN then_by;
ALTER TABLE agent_marks DROP COLUMN then_reason;
ALTER TABLE agent_states DROP COLUMN next_by;
ALTER TABLE agent_states DROP COLUMN status_by;
