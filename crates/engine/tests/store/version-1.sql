PRAGMA application_id = 1464357189;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next_number INTEGER NOT NULL,
    last_time_ms INTEGER NOT NULL
, clock_time_ms INTEGER, clock_wall_ms INTEGER, clock_uptime_ms INTEGER, clock_boot TEXT, ledger_number INTEGER NOT NULL DEFAULT 0, ledger_since_ms INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO progress VALUES(1,6,1795666162770,1795666162770,1795666162770,25711821,'00000000-0000-0000-0000-000000000000',6,1795666159903);
CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL,
    purged_ms INTEGER
) STRICT;
INSERT INTO queue VALUES(1,'local-webhook-dlq.fifo','{"visibility_timeout_seconds":30,"retention_seconds":1209600,"delay_seconds":0,"receive_wait_seconds":0,"max_message_bytes":1048576,"content_based_deduplication":false,"deduplication_scope":"queue","fifo_throughput_limit":"perQueue","redrive_policy":null,"redrive_allow_policy":{"redrivePermission":"byQueue","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:local-webhook.fifo"]},"without_effect":{}}','{}',1795666159921,1795666159921,NULL);
INSERT INTO queue VALUES(2,'local-webhook.fifo','{"visibility_timeout_seconds":60,"retention_seconds":1209600,"delay_seconds":0,"receive_wait_seconds":0,"max_message_bytes":1044480,"content_based_deduplication":false,"deduplication_scope":"queue","fifo_throughput_limit":"perQueue","redrive_policy":{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:local-webhook-dlq.fifo","maxReceiveCount":1000},"redrive_allow_policy":null,"without_effect":{}}','{}',1795666159925,1795666159925,NULL);
CREATE TABLE queue_count (
    queue_id INTEGER PRIMARY KEY,
    queued INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    message_groups INTEGER NOT NULL
) STRICT;
INSERT INTO queue_count VALUES(1,1,1,1);
INSERT INTO queue_count VALUES(2,3,0,2);
CREATE TABLE message_group (
    id INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    head_sequence INTEGER NOT NULL,
    in_flight INTEGER NOT NULL DEFAULT 0,
    locked INTEGER NOT NULL GENERATED ALWAYS AS (in_flight > 0) VIRTUAL
) STRICT;
INSERT INTO message_group VALUES(1,2,'a',1,0);
INSERT INTO message_group VALUES(2,2,'b',3,0);
INSERT INTO message_group VALUES(3,1,'c',4,1);
CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    sent_ms INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    dead_letter_source TEXT,
    trace_header TEXT,
    attributes TEXT,
    body TEXT NOT NULL
, from_api INTEGER NOT NULL DEFAULT FALSE) STRICT;
INSERT INTO message VALUES(1,2,1,1795666161849,'613c8a05-c60f-4ff7-99df-8a39c1735e93','fed53678-12e2-48d0-bf27-fa429aa21497',NULL,NULL,'{"accepted_at":{"type":"String","value":{"text":"1795666161850"}},"event_id":{"type":"String","value":{"text":"fed53678-12e2-48d0-bf27-fa429aa21497"}},"headers":{"type":"String","value":{"text":"content-type: application/json\nx-workflow-id: a"}},"route":{"type":"String","value":{"text":"sss"}}}','{"n":1}',0);
INSERT INTO message VALUES(2,2,1,1795666161873,'ae6edd94-b8a7-45ef-99a8-0ced32f018f0','2fd57b07-031f-47a1-ac1b-3c4cbe08c35d',NULL,NULL,'{"accepted_at":{"type":"String","value":{"text":"1795666161873"}},"event_id":{"type":"String","value":{"text":"2fd57b07-031f-47a1-ac1b-3c4cbe08c35d"}},"headers":{"type":"String","value":{"text":"content-type: application/json\nx-workflow-id: a"}},"route":{"type":"String","value":{"text":"sss"}}}','{"n":2}',0);
INSERT INTO message VALUES(3,2,2,1795666161898,'d0ad0dc9-8c12-4613-b624-8aaac932c58a','5443d7be-49aa-4584-a1c8-1a918f2a1c28',NULL,NULL,'{"accepted_at":{"type":"String","value":{"text":"1795666161898"}},"event_id":{"type":"String","value":{"text":"5443d7be-49aa-4584-a1c8-1a918f2a1c28"}},"headers":{"type":"String","value":{"text":"content-type: application/json\nx-workflow-id: b"}},"route":{"type":"String","value":{"text":"sss"}}}','{"n":3}',0);
INSERT INTO message VALUES(4,1,3,1795666162745,'b36d3b46-5f93-4869-b69f-9542720caa11','c1',NULL,NULL,'{"event_id":{"type":"String","value":{"text":"e-9"}},"route":{"type":"String","value":{"text":"sss"}}}','dead',1);
CREATE TABLE delivery (
    sequence INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    first_received_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    receive_number INTEGER NOT NULL,
    visible_at_ms INTEGER,
    receiver TEXT
) STRICT;
INSERT INTO delivery VALUES(4,1,1,1795666162770,1795666162770,5,1795666192770,NULL);
CREATE TABLE deduplication (
    key BLOB PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    message_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO deduplication VALUES(X'2d5dda0a93c6eaff001a1dca7536a525',1795666461873,2,'ae6edd94-b8a7-45ef-99a8-0ced32f018f0');
INSERT INTO deduplication VALUES(X'3c6a9cb5b280c5eda4e251f41bac44f4',1795666461849,1,'613c8a05-c60f-4ff7-99df-8a39c1735e93');
INSERT INTO deduplication VALUES(X'43609c93ef7810ad8c99a61e3ebc4af1',1795666462745,4,'b36d3b46-5f93-4869-b69f-9542720caa11');
INSERT INTO deduplication VALUES(X'b6c185caee8ce1cf2fe9e61f501706d6',1795666461898,3,'d0ad0dc9-8c12-4613-b624-8aaac932c58a');
CREATE TABLE receive_attempt (
    queue_id INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    receive_number INTEGER NOT NULL,
    visible_at_ms INTEGER NOT NULL,
    sequences TEXT NOT NULL,
    PRIMARY KEY (queue_id, attempt_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE move_task (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    destination TEXT,
    per_second INTEGER,
    last_sequence INTEGER NOT NULL,
    status TEXT NOT NULL,
    failure TEXT,
    moved INTEGER NOT NULL DEFAULT 0,
    to_move INTEGER NOT NULL,
    started_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE ledger (
             queue_id INTEGER NOT NULL,
             route TEXT NOT NULL,
             way TEXT NOT NULL,
             messages INTEGER NOT NULL,
             PRIMARY KEY (queue_id, route, way)
         ) STRICT, WITHOUT ROWID;
INSERT INTO ledger VALUES(1,'sss','returned',1);
INSERT INTO ledger VALUES(2,'sss','ingested',3);
CREATE UNIQUE INDEX message_group_by_name ON message_group (queue_id, name);
CREATE INDEX message_group_by_head ON message_group (queue_id, locked, head_sequence);
CREATE INDEX message_by_group ON message (group_id);
CREATE INDEX delivery_in_flight ON delivery (queue_id, visible_at_ms) WHERE visible_at_ms IS NOT NULL;
CREATE INDEX deduplication_by_expiry ON deduplication (expires_ms);
CREATE INDEX receive_attempt_by_expiry ON receive_attempt (expires_ms);
CREATE INDEX move_task_by_source ON move_task (source, started_ms);
COMMIT;
