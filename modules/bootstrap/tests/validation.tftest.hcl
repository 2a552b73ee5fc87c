mock_provider "aws" {}

variables {
  name   = "acme-webhook"
  region = "ap-northeast-1"
  environments = {
    dev = {
      plan_subjects   = ["repo:a/b:environment:dev"]
      deploy_subjects = ["repo:a/b:environment:dev"]
    }
  }
}

run "name_with_a_dot" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "acme.webhook"
  }
}

run "region_by_city" {
  command         = plan
  expect_failures = [var.region]
  variables {
    region = "tokyo"
  }
}

run "no_environments" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = {}
  }
}

run "environment_in_capitals" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = { Dev = { plan_subjects = ["repo:a/b:environment:dev"], deploy_subjects = ["repo:a/b:environment:Dev"] } }
  }
}

run "nobody_may_deploy" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = { dev = { plan_subjects = ["repo:a/b:environment:dev"], deploy_subjects = [] } }
  }
}

run "any_repository_may_plan" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = { dev = { plan_subjects = ["repo:acme/*:pull_request"], deploy_subjects = ["repo:a/b:environment:dev"] } }
  }
}

run "subject_of_another_kind" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = { dev = { plan_subjects = ["acme/webhook"], deploy_subjects = ["repo:a/b:environment:dev"] } }
  }
}

run "deployed_from_a_branch" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = { dev = { plan_subjects = ["repo:a/b:environment:dev"], deploy_subjects = ["repo:a/b:ref:refs/heads/main"] } }
  }
}

run "deployed_from_another_environment" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = { dev = { plan_subjects = ["repo:a/b:environment:dev"], deploy_subjects = ["repo:a/b:environment:prod"] } }
  }
}

run "provider_of_somebody_else" {
  command         = plan
  expect_failures = [var.oidc_provider_arn]
  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/gitlab.com"
  }
}

run "no_way_back" {
  command         = plan
  expect_failures = [var.former_versions_days]
  variables {
    former_versions_days = 29
  }
}

run "a_role_s_name_of_65_characters" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    name = "acme-webhook-of-the-first-departmentx"
    environments = {
      an-environment-of-20 = { plan_subjects = ["repo:a/b:pull_request"], deploy_subjects = ["repo:a/b:environment:an-environment-of-20"] }
    }
  }
}

run "promoted_from_nowhere" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = {
      dev = { plan_subjects = ["repo:a/b:pull_request"], deploy_subjects = ["repo:a/b:environment:dev"], promotes_from = "test" }
    }
  }
}

run "promoted_from_itself" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = {
      dev = { plan_subjects = ["repo:a/b:pull_request"], deploy_subjects = ["repo:a/b:environment:dev"], promotes_from = "dev" }
    }
  }
}

run "authorizers_by_a_pattern" {
  command         = plan
  expect_failures = [var.environments]
  variables {
    environments = {
      dev = { plan_subjects = ["repo:a/b:pull_request"], deploy_subjects = ["repo:a/b:environment:dev"], authorizer_functions = ["*"] }
    }
  }
}
