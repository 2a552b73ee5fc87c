output "state_bucket" {
  description = "Name of the bucket for state files; an environment's is `ENV/terraform.tfstate`."
  value       = aws_s3_bucket.this["state"].bucket
}

output "artifact_bucket" {
  description = "Name of the bucket for artifacts (`artifacts/`), records of deployments (`deployments/ENV/`, `releases/ENV/`), the audit log (`audit/ENV/`), pauses and the lease of a redrive (`operating/ENV/`)."
  value       = aws_s3_bucket.this["artifacts"].bucket
}

output "oidc_provider_arn" {
  description = "ARN of the identity provider for GitHub Actions."
  value       = local.oidc_provider_arn
}

output "plan_role_arns" {
  description = "ARN of the role that may look at an environment, by its name."
  value       = { for name in keys(var.environments) : name => aws_iam_role.github["${name}-plan"].arn }
}

output "deploy_role_arns" {
  description = "ARN of the role that may deploy an environment, by its name."
  value       = { for name in keys(var.environments) : name => aws_iam_role.github["${name}-deploy"].arn }
}

output "permissions_boundary_arns" {
  description = "ARN of the policy that roles of an environment must be bounded by, by its name: the input `permissions_boundary_arn` of the other modules."
  value       = { for name, policy in aws_iam_policy.boundary : name => policy.arn }
}

output "look_policy_arns" {
  description = "ARN of the policy for people who look: status, doctor, trace, blocked and dead letters of an environment, by its name."
  value       = { for name in keys(var.environments) : name => aws_iam_policy.this["${name}-look"].arn }
}

output "operate_policy_arns" {
  description = "ARN of the policy for people who operate, beside the one for looking: pause, resume, retry, skip, and dead letters sent again, edited or dropped, by the environment's name."
  value       = { for name in keys(var.environments) : name => aws_iam_policy.this["${name}-operate"].arn }
}

output "alarms_key_arns" {
  description = "ARN of the key that encrypts an environment's alarms, by its name. modules/monitoring finds it by its alias."
  value       = { for name, key in aws_kms_key.alarms : name => key.arn }
}
