output "state_bucket" {
  description = "Bucket for state: `aws.state_bucket` of the environments."
  value       = module.bootstrap.state_bucket
}

output "artifact_bucket" {
  description = "Bucket for artifacts and release records: `aws.artifact_bucket` of the environments."
  value       = module.bootstrap.artifact_bucket
}

output "plan_role_arns" {
  description = "Role that GitHub Actions plans with, by environment."
  value       = module.bootstrap.plan_role_arns
}

output "deploy_role_arns" {
  description = "Role that GitHub Actions deploys with, by environment."
  value       = module.bootstrap.deploy_role_arns
}

output "permissions_boundary_arns" {
  description = "Policy that bounds an environment's roles, by environment: `aws.permissions_boundary_arn`."
  value       = module.bootstrap.permissions_boundary_arns
}

output "look_policy_arns" {
  description = "Policy for people who look at an environment, by environment."
  value       = module.bootstrap.look_policy_arns
}

output "operate_policy_arns" {
  description = "Policy for people who operate an environment, beside the one for looking, by environment."
  value       = module.bootstrap.operate_policy_arns
}

output "alarms_key_arns" {
  description = "Key that encrypts alarms, by environment; found by its alias."
  value       = module.bootstrap.alarms_key_arns
}
