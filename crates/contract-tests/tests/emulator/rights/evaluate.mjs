// Puts requests to an evaluator of IAM policies: JSON on standard input, a verdict for each request on
// standard output. Its first argument is the folder that npm has installed the evaluator into.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const { runSimulation, runUnsafeSimulation } = createRequire(join(process.argv[2], 'any.js'))('@cloud-copilot/iam-simulate')
const { account, principals, resources, requests } = JSON.parse(await text(process.stdin))

const verdicts = []
for (const { who, action, resource, context } of requests) {
  const { arn, policies, boundary } = principals[who]
  const owner = Object.keys(resources).find((name) => resource === name || resource.startsWith(`${name}/`))
  const simulation = {
    request: {
      principal: arn,
      action,
      resource: { resource, accountId: account },
      contextVariables: context,
    },
    identityPolicies: policies,
    permissionBoundaryPolicies: boundary === null ? undefined : [boundary],
    resourcePolicy: owner === undefined ? undefined : resources[owner],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }
  // Its data has the parts of HTTP APIs, and not that the actions are for them as well.
  if (action.startsWith('apigateway:')) {
    verdicts.push({ result: runUnsafeSimulation(simulation, {}), errors: null })
    continue
  }
  const response = await runSimulation(simulation, {})
  verdicts.push({
    result: response.resultType === 'error' ? 'Error' : response.overallResult,
    errors: response.resultType === 'error' ? JSON.stringify(response.errors) : null,
  })
}
process.stdout.write(JSON.stringify(verdicts))
