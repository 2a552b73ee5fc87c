mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/acme-webhook-boundary" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mock", id = "mock" }
  }
}

variables {
  name   = "acme-webhook"
  region = "ap-northeast-1"
  environments = {
    dev = {
      plan_subjects       = ["repo:acme/webhook:pull_request", "repo:acme/webhook:environment:dev"]
      deploy_subjects     = ["repo:acme/webhook:environment:dev"]
      publishes_artifacts = true
    }
    prod = {
      plan_subjects   = ["repo:acme@1/webhook@2:environment:prod"]
      deploy_subjects = ["repo:acme@1/webhook@2:environment:prod"]
    }
  }
}

run "the_buckets_keep_what_was_and_are_closed" {
  command = plan

  assert {
    condition     = output.state_bucket == "acme-webhook-state" && output.artifact_bucket == "acme-webhook-artifacts"
    error_message = "are ${output.state_bucket} and ${output.artifact_bucket}"
  }
  assert {
    condition = toset(keys(aws_s3_bucket_versioning.this)) == toset(["state", "artifacts"]) && alltrue([
      for versioning in values(aws_s3_bucket_versioning.this) : versioning.versioning_configuration[0].status == "Enabled"
    ])
    error_message = "both buckets must keep versions"
  }
  assert {
    condition = toset(keys(aws_s3_bucket_public_access_block.this)) == toset(["state", "artifacts"]) && alltrue([
      for block in values(aws_s3_bucket_public_access_block.this) :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "no bucket may be public"
  }
  assert {
    condition     = toset(keys(aws_s3_bucket_server_side_encryption_configuration.this)) == toset(["state", "artifacts"])
    error_message = "both buckets must be encrypted"
  }
  assert {
    condition = toset(keys(aws_s3_bucket_policy.this)) == toset(["state", "artifacts"]) && alltrue([
      for policy in values(aws_s3_bucket_policy.this) :
      [for statement in jsondecode(policy.policy).Statement : [statement.Effect, statement.Condition.Bool["aws:SecureTransport"]]] == [["Deny", "false"]]
    ])
    error_message = "both buckets must refuse plain text"
  }
}

run "only_former_state_expires" {
  command = plan

  assert {
    condition = (
      [for rule in aws_s3_bucket_lifecycle_configuration.this["state"].rule : rule.id] == ["unfinished-uploads", "former-versions"]
      && [for rule in aws_s3_bucket_lifecycle_configuration.this["artifacts"].rule : rule.id] == ["unfinished-uploads"]
    )
    error_message = "artifacts are kept for ever: they are the way back"
  }
}

run "roles_are_bound_to_subjects_letter_by_letter" {
  command = plan

  assert {
    condition = {
      for name, role in aws_iam_role.github : role.name =>
      jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"]
      } == {
      acme-webhook-dev-plan    = ["repo:acme/webhook:environment:dev", "repo:acme/webhook:pull_request"]
      acme-webhook-dev-deploy  = ["repo:acme/webhook:environment:dev"]
      acme-webhook-prod-plan   = ["repo:acme@1/webhook@2:environment:prod"]
      acme-webhook-prod-deploy = ["repo:acme@1/webhook@2:environment:prod"]
    }
    error_message = jsonencode({ for name, role in aws_iam_role.github : name => role.assume_role_policy })
  }
  assert {
    condition = alltrue([
      for role in values(aws_iam_role.github) :
      keys(jsondecode(role.assume_role_policy).Statement[0].Condition) == ["StringEquals"]
      && jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    ])
    error_message = "tokens must be equal, and made for AWS"
  }
}

run "a_plan_changes_nothing" {
  command = plan

  assert {
    condition = length(flatten([
      for key, policy in aws_iam_role_policy.github : [
        for statement in jsondecode(policy.policy).Statement : [
          for action in statement.Action : "${key} ${action}"
          if !can(regex(":(Get|List|Describe|Filter|GET$)", action)) && !alltrue([for resource in statement.Resource : endswith(resource, ".tflock")])
        ]
      ] if strcontains(key, "-plan/")
    ])) == 0
    error_message = "a planning role may change something besides the state's lock"
  }
  assert {
    condition     = length(regexall("sqs:ReceiveMessage|lambda:InvokeFunction", jsonencode([for policy in aws_iam_role_policy.github : policy.policy]))) == 0
    error_message = "nobody needs the messages to deploy"
  }
}

run "no_action_is_a_pattern" {
  command = plan

  assert {
    condition = length(flatten([
      for policy in aws_iam_role_policy.github : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : action if strcontains(action, "*")]
      ]
    ])) == 0
    error_message = "every action is named"
  }
  assert {
    condition = alltrue([
      for role in keys(aws_iam_role.github) :
      sum([for key, policy in aws_iam_role_policy.github : length(policy.policy) if startswith(key, "${role}/")]) <= 10240
    ])
    error_message = "IAM takes 10,240 characters of inline policies for a role"
  }
}

run "a_deployment_makes_no_role_that_may_more_than_the_boundary" {
  command = plan

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.github["dev-deploy/write-roles"].policy).Statement :
      try(statement.Condition.StringEquals["iam:PermissionsBoundary"], "") == "arn:aws:iam::123456789012:policy/acme-webhook-boundary"
      if length(setintersection(statement.Action, ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"])) > 0
    ])
    error_message = "is ${aws_iam_role_policy.github["dev-deploy/write-roles"].policy}"
  }
  assert {
    condition     = length(regexall("iam:(AttachRolePolicy|DeleteRolePermissionsBoundary|CreatePolicyVersion)", jsonencode([for policy in aws_iam_role_policy.github : policy.policy]))) == 0
    error_message = "the boundary could be gone round"
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.github["dev-deploy/write-roles"].policy).Statement :
      statement.Resource == [
        "arn:aws:iam::123456789012:role/dev-webhook-ingest",
        "arn:aws:iam::123456789012:role/dev-webhook-forwarder",
        "arn:aws:iam::123456789012:role/dev-webhook-sss-stub",
        "arn:aws:iam::123456789012:role/dev-webhook-resume",
      ]
    ])
    error_message = "only the environment's own roles, and not the deploying one"
  }
}

run "a_role_reads_secrets_of_its_environment_only" {
  command = plan

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_policy.boundary["dev"].policy).Statement :
      statement.Resource if contains(statement.Action, "ssm:GetParameter")
      ]) == jsonencode([[
        "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:dev/*",
        "arn:aws:ssm:ap-northeast-1:123456789012:parameter/dev/*",
    ]])
    error_message = "is ${aws_iam_policy.boundary["dev"].policy}"
  }
}

run "artifacts_come_from_where_they_are_published" {
  command = plan

  assert {
    condition = (
      jsondecode(aws_iam_role_policy.github["dev-deploy/write-releases"].policy).Statement[0].Resource
      == ["arn:aws:s3:::mock/releases/dev/*", "arn:aws:s3:::mock/artifacts/*"]
      && jsondecode(aws_iam_role_policy.github["prod-deploy/write-releases"].policy).Statement[0].Resource
      == ["arn:aws:s3:::mock/releases/prod/*"]
    )
    error_message = "prod must run what dev has published"
  }
}

run "a_given_provider_is_used" {
  command = plan
  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && output.oidc_provider_arn == var.oidc_provider_arn
    error_message = "an account can have only one"
  }
}
