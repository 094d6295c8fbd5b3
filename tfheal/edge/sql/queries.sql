-- name: insert_run
INSERT INTO run (id, command, started, host, pid, boot, process_started)
VALUES (:id, :command, :started, :host, :pid, :boot, :process_started);

-- name: last_took
SELECT started, ended FROM run
WHERE command = :command AND exit = 0 AND ended IS NOT NULL ORDER BY ended DESC LIMIT 1;

-- name: end_run
UPDATE run SET ended = :ended, exit = :exit WHERE id = :id;

-- name: insert_action
INSERT INTO action (
    id, run, verb, app, component, slice, incident, why, release, started, ended, outcome, detail
) VALUES (
    :id, :run, :verb, :app, :component, :slice, :incident, :why, :release, :started, :ended, :outcome, :detail
);

-- name: note_action
INSERT INTO action (
    id, run, verb, app, component, slice, incident, why, release, started, ended, outcome, detail
) VALUES (
    :id, :run, :verb, :app, :component, :slice, :incident, :why, :release, :started, :ended, :outcome, :detail
)
ON CONFLICT (id) DO NOTHING;

-- name: conclude_action
-- What a successor could only call unknown may still be told by the one who did it; any other outcome stands.
UPDATE action
SET
    ended = iif(outcome IS NULL OR outcome = 'unknown', :ended, ended),
    detail = iif(outcome IS NULL OR outcome = 'unknown', :detail, detail),
    outcome = iif(outcome IS NULL OR outcome = 'unknown', :outcome, outcome)
WHERE id = :id;

-- name: actions
SELECT * FROM (
    SELECT * FROM action
    WHERE (:since IS NULL OR started >= :since)
    ORDER BY number DESC
    LIMIT :limit
) ORDER BY number;

-- name: actions_of_app
SELECT * FROM (
    SELECT * FROM action
    WHERE app = :app AND (:since IS NULL OR started >= :since)
    ORDER BY number DESC
    LIMIT :limit
) ORDER BY number;

-- name: apps
SELECT DISTINCT app FROM action WHERE app <> '' ORDER BY app;

-- name: apps_by_slice
-- What was taken over from a colleague is deployed without an action of ours; what was removed is in actions only.
-- A call for a human about a slice, or about all of them, is of no app.
SELECT slice, app FROM action WHERE app <> '' UNION SELECT slice, app FROM deployed;

-- name: open_actions
-- Each action without an outcome, beside the run that began it and who holds the lease of its app.
SELECT
    action.*,
    run.ended AS run_ended,
    run.boot AS run_boot,
    run.pid AS run_pid,
    run.process_started AS run_process_started,
    lease.run AS lease_run,
    lease.boot AS boot,
    lease.pid AS pid,
    lease.process_started AS process_started,
    lease.renewed AS renewed,
    lease.beat AS beat
FROM action
JOIN run ON run.id = action.run
LEFT JOIN lease ON lease.app = action.app
WHERE action.outcome IS NULL
ORDER BY action.number;

-- name: save_release
INSERT INTO release (id, document, saved) VALUES (:id, :document, :saved)
ON CONFLICT (id) DO NOTHING;

-- name: release
SELECT document FROM release WHERE id = :id;

-- name: set_deployed
INSERT INTO deployed (app, component, slice, release, version, generation, phase, at)
VALUES (:app, :component, :slice, :release, :version, :generation, :phase, :at)
ON CONFLICT (app, component, slice) DO UPDATE SET
    release = excluded.release,
    version = excluded.version,
    generation = excluded.generation,
    phase = excluded.phase,
    at = excluded.at;

-- name: drop_deployed
DELETE FROM deployed WHERE app = :app AND component = :component AND slice = :slice;

-- name: drop_health
DELETE FROM health WHERE app = :app AND component = :component AND slice = :slice;

-- name: put_consistent
INSERT OR REPLACE INTO consistent (app, component, slice, at) VALUES (:app, :component, :slice, :at);

-- name: consistent
SELECT at FROM consistent WHERE app = :app AND component = :component AND slice = :slice;

-- name: drop_consistent
DELETE FROM consistent WHERE app = :app AND component = :component AND slice = :slice;

-- name: drop_standings
DELETE FROM standing WHERE app = :app AND component = :component AND slice = :slice;

-- name: put_standing
INSERT OR REPLACE INTO standing (app, component, slice, release, generation, healthy_since, good, held, why)
VALUES (:app, :component, :slice, :release, :generation, :healthy_since, :good, :held, :why);

-- name: standings
SELECT * FROM standing WHERE (:app IS NULL OR app = :app) ORDER BY app, component, slice, release;

-- name: deployed
SELECT * FROM deployed WHERE (:app IS NULL OR app = :app) ORDER BY app, component, slice;

-- name: put_incident
INSERT INTO incident (
    id, app, component, slice, cause, state, rung, opened, last_seen, healthy_since, closed, paged, detail
) VALUES (
    :id, :app, :component, :slice, :cause, :state, :rung, :opened, :last_seen, :healthy_since, :closed, :paged, :detail
)
ON CONFLICT (id) DO UPDATE SET
    app = excluded.app,
    component = excluded.component,
    slice = excluded.slice,
    cause = excluded.cause,
    state = excluded.state,
    rung = excluded.rung,
    opened = excluded.opened,
    last_seen = excluded.last_seen,
    healthy_since = excluded.healthy_since,
    closed = excluded.closed,
    paged = excluded.paged,
    detail = excluded.detail;

-- name: incidents
SELECT * FROM incident
WHERE (:since IS NULL OR coalesce(closed, last_seen) >= :since)
ORDER BY number;

-- name: open_incidents
SELECT * FROM incident
WHERE state <> 'resolved' AND (:since IS NULL OR coalesce(closed, last_seen) >= :since)
ORDER BY number;

-- name: note_health
INSERT INTO health (app, component, slice, health, since)
VALUES (:app, :component, :slice, :health, :since)
ON CONFLICT (app, component, slice) DO UPDATE SET
    health = excluded.health,
    since = excluded.since
WHERE health.health <> excluded.health;

-- name: health_since
SELECT * FROM health ORDER BY app, component, slice;

-- name: put_placement
INSERT OR REPLACE INTO placement (app, place, spec, pinned, at) VALUES (:app, :place, :spec, :pinned, :at);

-- name: placement
SELECT * FROM placement WHERE app = :app;

-- name: drop_placement
DELETE FROM placement WHERE app = :app;

-- name: note_silence
INSERT INTO silence (slice, since, paused)
VALUES (:slice, :since, (SELECT EXISTS (SELECT 1 FROM health WHERE slice = :slice AND health = 'paused')))
ON CONFLICT (slice) DO NOTHING;

-- name: drop_silence
DELETE FROM silence WHERE slice = :slice;

-- name: silences
SELECT * FROM silence ORDER BY slice;

-- name: lease
SELECT * FROM lease WHERE app = :app;

-- name: take_lease
INSERT OR REPLACE INTO lease (
    app, what, run, host, user, pid, boot, process_started, since, renewed, beat
) VALUES (
    :app, :what, :run, :host, :user, :pid, :boot, :process_started, :renewed, :renewed, :beat
);

-- name: renew_lease
UPDATE lease SET renewed = :renewed, beat = :beat WHERE app = :app AND run = :run;

-- name: drop_lease
DELETE FROM lease WHERE app = :app AND run = :run;

-- name: ack_incident
UPDATE incident SET acked = :acked, acked_by = :acked_by WHERE id = :id;

-- name: put_pause
INSERT INTO pause (id, kind, name, since, until, who, why)
VALUES (:id, :kind, :name, :since, :until, :who, :why);

-- name: lift_pauses
UPDATE pause SET lifted = :lifted WHERE kind = :kind AND name = :name AND lifted IS NULL AND until > :lifted;

-- name: pauses
SELECT * FROM pause WHERE until > :now ORDER BY number;

-- name: put_backup
INSERT INTO backup (id, app, store, started, received, state, held, drilled, detail, let_go, said, damaged)
VALUES (:id, :app, :store, :started, :received, :state, :held, :drilled, :detail, :let_go, :said, :damaged)
ON CONFLICT (id) DO UPDATE SET
    store = excluded.store, received = excluded.received, state = excluded.state, held = excluded.held,
    drilled = excluded.drilled, detail = excluded.detail, let_go = excluded.let_go, said = excluded.said,
    damaged = excluded.damaged;

-- name: drop_backup_parts
DELETE FROM backup_part WHERE backup = :backup;

-- name: put_backup_part
INSERT INTO backup_part (backup, position, slice, what, state, snapshot, bytes, files, added, detail, paths)
VALUES (:backup, :position, :slice, :what, :state, :snapshot, :bytes, :files, :added, :detail, :paths);

-- name: backups
SELECT * FROM backup WHERE :app IS NULL OR app = :app ORDER BY number;

-- name: backup_parts
SELECT backup_part.* FROM backup_part JOIN backup ON backup.id = backup_part.backup
WHERE :app IS NULL OR backup.app = :app ORDER BY backup_part.backup, position;

-- name: put_drill
INSERT INTO drill (id, app, backup, at, state, seconds, steps, detail)
VALUES (:id, :app, :backup, :at, :state, :seconds, :steps, :detail);

-- name: mark_drilled
UPDATE backup SET drilled = :at WHERE id = :backup;

-- name: mark_damaged
UPDATE backup SET damaged = :at WHERE id = :backup;

-- name: drills
SELECT * FROM drill WHERE app = :app ORDER BY number;

-- name: put_verification
INSERT INTO verification (app, slice, at, share, sound, paged, unknown, detail, touched)
VALUES (:app, :slice, :at, :share, :sound, :paged, :unknown, :detail, :touched);

-- name: verifications
SELECT * FROM verification WHERE :app IS NULL OR app = :app ORDER BY number;

-- name: put_pruning
INSERT INTO pruning (id, app, at, state, backups, freed, detail)
VALUES (:id, :app, :at, :state, :backups, :freed, :detail)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, freed = excluded.freed, detail = excluded.detail;

-- name: last_pruning
SELECT * FROM pruning WHERE app = :app ORDER BY number DESC LIMIT 1;

-- name: put_copied
INSERT INTO copied (app, store, at, reached, detail)
VALUES (:app, :store, :at, :reached, :detail)
ON CONFLICT (app) DO UPDATE SET
    store = excluded.store, at = excluded.at, reached = excluded.reached, detail = excluded.detail;

-- name: copied
SELECT * FROM copied WHERE app = :app;

-- name: put_upgrade
INSERT INTO upgrade (
    id, app, old, new, state, started, backup, detail, strategy, served, usual_requests, usual_failed
)
VALUES (
    :id, :app, :old, :new, :state, :started, :backup, :detail, :strategy, :served, :usual_requests, :usual_failed
)
ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, backup = excluded.backup, detail = excluded.detail, strategy = excluded.strategy,
    served = excluded.served, usual_requests = excluded.usual_requests, usual_failed = excluded.usual_failed;

-- name: last_upgrade
SELECT * FROM upgrade WHERE app = :app ORDER BY number DESC LIMIT 1;

-- name: put_rollout
INSERT INTO rollout (id, playbook, version, state, started, waves, outcomes, rests, detail)
VALUES (:id, :playbook, :version, :state, :started, :waves, :outcomes, :rests, :detail)
ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, waves = excluded.waves, outcomes = excluded.outcomes, rests = excluded.rests,
    detail = excluded.detail;

-- name: last_rollout
SELECT * FROM rollout WHERE playbook = :playbook ORDER BY number DESC LIMIT 1;

-- name: put_listed
INSERT INTO listed (playbook, version, lock, since) VALUES (:playbook, :version, :lock, :since)
ON CONFLICT (playbook, version) DO UPDATE SET lock = excluded.lock, since = excluded.since;

-- name: drop_listed
DELETE FROM listed WHERE playbook = :playbook AND version = :version;

-- name: listed
SELECT * FROM listed WHERE playbook = :playbook ORDER BY version;

-- name: put_published
INSERT INTO published (app, way, host, addresses, done) VALUES (:app, :way, :host, :addresses, :done)
ON CONFLICT (app, way, host) DO UPDATE SET addresses = excluded.addresses, done = excluded.done;

-- name: drop_published
DELETE FROM published WHERE app = :app AND way = :way AND host = :host;

-- name: published
SELECT * FROM published WHERE app = :app ORDER BY way, host;
