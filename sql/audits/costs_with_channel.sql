-- what: costs of NEW or MAINTAIN with a channel; they are not used, for these do not depend on it
-- grain: offence
-- reads: costs
-- severity: WARNS
-- subject: costs
SELECT c.cost_kind AS cost_kind, c.channel AS channel, c.valid_from AS valid_from
FROM costs AS c
WHERE c.cost_kind <> 'CHANNEL' AND c.channel IS NOT NULL
