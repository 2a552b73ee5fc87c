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
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:ap-northeast-1:123456789012:key/mock", key_id = "mock" }
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
      promotes_from   = "dev"
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
      [jsondecode(policy.policy).Statement[0].Effect, jsondecode(policy.policy).Statement[0].Condition.Bool["aws:SecureTransport"]] == ["Deny", "false"]
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

run "what_was_released_is_never_overwritten" {
  command = plan

  assert {
    condition = (
      jsondecode(aws_s3_bucket_policy.this["artifacts"].policy).Statement[1].Effect == "Deny"
      && jsondecode(aws_s3_bucket_policy.this["artifacts"].policy).Statement[1].Resource == [
        "arn:aws:s3:::mock/artifacts/*", "arn:aws:s3:::mock/deployments/*", "arn:aws:s3:::mock/releases/*",
      ]
      && jsondecode(aws_s3_bucket_policy.this["artifacts"].policy).Statement[1].Condition == {
        Bool = { "s3:ObjectCreationOperation" = "true" }
        Null = { "s3:if-none-match" = "true" }
      }
    )
    error_message = "is ${aws_s3_bucket_policy.this["artifacts"].policy}"
  }
  assert {
    condition     = length(jsondecode(aws_s3_bucket_policy.this["state"].policy).Statement) == 1
    error_message = "state is written over and over"
  }
}

run "a_plan_changes_nothing" {
  command = plan

  assert {
    condition = length(flatten([
      for key, attachment in aws_iam_role_policy_attachment.github : key
      if strcontains(key, "-plan/") && !contains(["read", "read-records", "watch"], split("/", key)[1])
    ])) == 0
    error_message = "a planning role reads"
  }
  assert {
    condition = length(flatten([
      for name in ["dev-read", "dev-read-records", "prod-read", "prod-read-records"] : [
        for statement in jsondecode(aws_iam_policy.this[name].policy).Statement : [
          for action in statement.Action : "${name} ${action}"
          if !can(regex(":(Get|List|Describe|Filter|GET$)", action)) && !alltrue([for resource in statement.Resource : endswith(resource, ".tflock")])
        ]
      ]
    ])) == 0
    error_message = "a planning role may change something besides the state's lock"
  }
}

run "no_action_is_a_pattern" {
  command = plan

  assert {
    condition = length(flatten([
      for policy in values(aws_iam_policy.this) : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : action if strcontains(action, "*")]
      ]
    ])) == 0
    error_message = "every action is named"
  }
}

run "the_longest_names_fit" {
  command = plan
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-us-gov" }
  }
  variables {
    name   = "acme-webhook-of-the-first-department"
    region = "us-gov-west-1"
    environments = {
      an-environment-of-20 = {
        plan_subjects       = ["repo:acme/webhook:pull_request"]
        deploy_subjects     = ["repo:acme/webhook:environment:an-environment-of-20"]
        publishes_artifacts = true
        promotes_from       = "another-one-with--20"
        authorizer_functions = [
          "an-authorizer-whose-name-has-as-many-characters-as-a-name-can-ha",
          "bn-authorizer-whose-name-has-as-many-characters-as-a-name-can-ha",
        ]
      }
      another-one-with--20 = {
        plan_subjects   = ["repo:acme/webhook:pull_request"]
        deploy_subjects = ["repo:acme/webhook:environment:another-one-with--20"]
      }
    }
  }

  # 64 characters are a role's, 6,144 a managed policy's. Source: IAM user guide, "IAM and STS quotas".
  assert {
    condition     = max([for role in values(aws_iam_role.github) : length(role.name)]...) == 64
    error_message = jsonencode([for role in values(aws_iam_role.github) : length(role.name)])
  }
  assert {
    condition     = max([for policy in values(aws_iam_policy.this) : length(policy.policy)]...) <= 6144 && length(aws_iam_policy.boundary["an-environment-of-20"].policy) <= 6144
    error_message = jsonencode({ for name, policy in aws_iam_policy.this : name => length(policy.policy) })
  }
}

run "an_authorizer_is_opened_to_api_gateway_where_it_is_named" {
  command = plan
  variables {
    environments = {
      dev = {
        plan_subjects        = ["repo:acme/webhook:pull_request"]
        deploy_subjects      = ["repo:acme/webhook:environment:dev"]
        authorizer_functions = ["ask-our-directory"]
      }
    }
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_policy.this["dev-write"].policy).Statement :
      [contains(statement.Resource, "arn:aws:lambda:ap-northeast-1:123456789012:function:ask-our-directory"), statement.Condition]
      if contains(statement.Action, "lambda:AddPermission")
    ] == [[true, { StringEquals = { "lambda:Principal" = "apigateway.amazonaws.com" } }]]
    error_message = "is ${aws_iam_policy.this["dev-write"].policy}"
  }
  assert {
    condition = length([
      for statement in jsondecode(aws_iam_policy.this["dev-read"].policy).Statement : statement
      if statement.Action == ["lambda:GetPolicy"] && statement.Resource == ["arn:aws:lambda:ap-northeast-1:123456789012:function:ask-our-directory"]
    ]) == 1
    error_message = "what was opened is looked at by the next plan"
  }
}

run "a_policy_that_is_too_long_is_refused" {
  command = plan
  variables {
    environments = {
      dev = {
        plan_subjects        = ["repo:acme/webhook:pull_request"]
        deploy_subjects      = ["repo:acme/webhook:environment:dev"]
        authorizer_functions = [for number in range(40) : "an-authorizer-whose-name-has-as-many-characters-as-a-name-can-${number}"]
      }
    }
  }
  expect_failures = [aws_iam_policy.this]
}

run "each_environment_s_alarms_have_a_key" {
  command = plan

  assert {
    condition     = { for name, alias in aws_kms_alias.alarms : name => alias.name } == { dev = "alias/dev-webhook-alarms", prod = "alias/prod-webhook-alarms" }
    error_message = "modules/monitoring looks for the alias"
  }
  assert {
    condition = alltrue([for key in values(aws_kms_key.alarms) : key.enable_key_rotation]) && [
      for statement in jsondecode(aws_kms_key.alarms["dev"].policy).Statement : statement.Principal
    ] == [{ AWS = "arn:aws:iam::123456789012:root" }, { Service = "cloudwatch.amazonaws.com" }]
    error_message = "without CloudWatch in the key's policy no alarm gets through"
  }
  assert {
    condition     = jsondecode(aws_kms_key.alarms["dev"].policy).Statement[1].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    error_message = "only this account's alarms"
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
